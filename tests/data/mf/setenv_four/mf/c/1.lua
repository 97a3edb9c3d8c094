unsetenv("A", "x", "y")
