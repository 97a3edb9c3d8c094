try_load("c/1.0")
