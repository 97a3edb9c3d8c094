load("set")
