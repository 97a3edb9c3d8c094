load("a")
setenv("C", "1")
