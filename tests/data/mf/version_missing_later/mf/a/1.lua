load("g/2")
