load("y")
