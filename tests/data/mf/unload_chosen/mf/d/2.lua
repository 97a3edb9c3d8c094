setenv("D2", "1")
