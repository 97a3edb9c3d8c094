load("x/1")
setenv("ON",tostring(isloaded("x/1")))
