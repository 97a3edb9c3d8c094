try_load("always") setenv("O","1")
