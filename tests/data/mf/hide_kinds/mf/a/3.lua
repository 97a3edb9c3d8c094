setenv("A", "3")
