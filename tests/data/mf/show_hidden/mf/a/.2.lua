setenv("A", ".2")
