setenv("E", "1")
