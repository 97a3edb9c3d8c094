setenv("Y","1")
