pushenv("X",5)
