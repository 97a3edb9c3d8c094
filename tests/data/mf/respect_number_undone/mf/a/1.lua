setenv("A", 7, true)
setenv("B", "x", true)
setenv("C", "y", true)
