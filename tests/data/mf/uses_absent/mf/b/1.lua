setenv("X", math.pi * 2)
