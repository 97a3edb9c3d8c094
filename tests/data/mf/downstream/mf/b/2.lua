setenv("B","2")
