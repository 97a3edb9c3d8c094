setenv("X")
