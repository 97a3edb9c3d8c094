pushenv("X","b2")
