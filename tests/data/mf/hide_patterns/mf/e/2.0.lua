setenv("E", "2")
