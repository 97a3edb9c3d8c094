setenv("C", "1")
