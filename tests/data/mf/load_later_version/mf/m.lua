load("x/2")
