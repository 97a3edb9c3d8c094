load("a4")
