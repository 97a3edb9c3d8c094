setenv("X","b")
