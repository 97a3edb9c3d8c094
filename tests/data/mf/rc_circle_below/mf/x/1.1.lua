setenv("X","1.1")
