setenv("A", "1")
