setenv("A", "4")
