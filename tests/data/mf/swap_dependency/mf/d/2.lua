setenv("D","2")
