setenv("F", "2")
