always_load("x")
