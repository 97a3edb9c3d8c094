setenv("Y","2")
