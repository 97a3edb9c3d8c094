try_load("x/9")
setenv("ON",tostring(isloaded("x")))
