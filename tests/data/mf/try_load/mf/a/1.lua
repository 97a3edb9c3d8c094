try_load("nope")
try_load("c","nope2")
setenv("A","1")
