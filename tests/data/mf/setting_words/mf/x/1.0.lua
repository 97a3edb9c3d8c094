setenv("X", "1.0")
