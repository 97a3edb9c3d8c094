pushenv("Z","") pushenv("Z","")
