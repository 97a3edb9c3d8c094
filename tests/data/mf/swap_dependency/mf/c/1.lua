load("d/2")
