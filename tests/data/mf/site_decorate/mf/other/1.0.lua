setenv("O","1")
