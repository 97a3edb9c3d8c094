setenv("A",os.date("%H",0)) setenv("B",os.time{year=2020,month=6,day=1,hour=0})
