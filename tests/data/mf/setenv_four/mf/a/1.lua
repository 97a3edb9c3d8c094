setenv("A", "x", "y", "z")
