setenv("A.B","x")
setenv("OK","y")
