setenv("X","1")
