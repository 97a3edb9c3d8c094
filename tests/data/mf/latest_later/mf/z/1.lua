setenv("Z","1")
