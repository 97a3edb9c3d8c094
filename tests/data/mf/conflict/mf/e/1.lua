conflict("e")
setenv("E","1")
