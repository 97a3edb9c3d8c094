setenv("F", "1")
