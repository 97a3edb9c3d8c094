load("a")
