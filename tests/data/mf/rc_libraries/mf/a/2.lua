setenv("A", "2")
