load("a2")
