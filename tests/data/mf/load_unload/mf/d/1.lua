setenv("D","1")
