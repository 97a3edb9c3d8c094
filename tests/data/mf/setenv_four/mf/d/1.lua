unsetenv("A", "x")
