setenv("D", "1")
