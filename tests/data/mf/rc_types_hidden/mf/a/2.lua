setenv("A","2")
