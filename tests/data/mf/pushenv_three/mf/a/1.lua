pushenv("X","a")
