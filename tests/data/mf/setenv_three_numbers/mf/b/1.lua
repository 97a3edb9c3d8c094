setenv("A", "x", 1)
