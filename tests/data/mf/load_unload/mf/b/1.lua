setenv("B","1")
