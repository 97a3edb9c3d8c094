setenv("A2","1")
