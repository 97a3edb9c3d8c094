pushenv("A", "1")
setenv("A", "2")
