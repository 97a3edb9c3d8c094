setenv("P","1")
