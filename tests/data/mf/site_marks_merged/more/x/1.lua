setenv("MORE","1")
