setenv("A","1")
