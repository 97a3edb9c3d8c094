setenv("S","1")
