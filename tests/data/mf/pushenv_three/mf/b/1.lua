pushenv("X","b1")
