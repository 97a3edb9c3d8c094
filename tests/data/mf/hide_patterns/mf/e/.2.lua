setenv("E", ".2")
