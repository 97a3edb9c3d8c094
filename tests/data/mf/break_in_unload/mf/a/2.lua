setenv("C","2")
