load("d")
