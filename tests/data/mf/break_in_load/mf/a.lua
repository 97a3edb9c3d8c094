setenv("A","1")
load("x")
setenv("A2",tostring(isloaded("x")))
