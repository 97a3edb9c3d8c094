setenv("W","1")
