setenv("A", 7)
setenv("B", 2.5)
setenv("C", false)
