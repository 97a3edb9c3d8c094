setenv("B", "2")
