try_load("a")
