setenv("X", "2")
