try_load("x")
setenv("B",tostring(isloaded("x")))
