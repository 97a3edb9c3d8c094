load("a3")
