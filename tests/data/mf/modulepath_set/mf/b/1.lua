local top = myFileName():match("^(.*)/mf")
setenv("MODULEPATH", top .. "/mf:" .. top .. "/mf3")
