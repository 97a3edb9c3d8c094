pushenv("X")
