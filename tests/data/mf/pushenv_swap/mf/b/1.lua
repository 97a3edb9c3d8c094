pushenv("X","b")
