setenv("X","3")
