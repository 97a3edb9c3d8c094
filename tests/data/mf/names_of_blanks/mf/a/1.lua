setenv("A", "1")
