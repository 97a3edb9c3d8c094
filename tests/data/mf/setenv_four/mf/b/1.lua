pushenv("A", "x", "y")
