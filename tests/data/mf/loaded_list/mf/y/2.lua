load("z")
