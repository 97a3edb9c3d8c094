local top = myFileName():match("^(.*)/mf")
prepend_path("MODULEPATH", top .. "/mf2")
LmodBreak()
