setenv("C", "2")
