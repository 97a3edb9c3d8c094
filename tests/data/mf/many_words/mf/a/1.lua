load("x","y","z")
