load("x/1.2")
