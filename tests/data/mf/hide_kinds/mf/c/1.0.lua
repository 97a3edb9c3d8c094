setenv("C", "1.0")
