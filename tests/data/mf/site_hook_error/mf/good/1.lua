setenv("G","1")
