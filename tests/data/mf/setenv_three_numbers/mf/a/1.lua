setenv("A", 10/4, true)
