setenv("X","2")
