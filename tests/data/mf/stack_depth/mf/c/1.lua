setenv("C","1")
