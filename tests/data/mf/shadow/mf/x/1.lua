setenv("X","first")
