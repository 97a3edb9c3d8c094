load("b")
