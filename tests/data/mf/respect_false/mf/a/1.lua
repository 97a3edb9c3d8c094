setenv("A", "x", false)
setenv("B", "x", 0)
setenv("C", "x", "")
