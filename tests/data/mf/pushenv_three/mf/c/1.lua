pushenv("X","c")
