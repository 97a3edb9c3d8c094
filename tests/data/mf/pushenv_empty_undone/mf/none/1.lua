load("a","c") unload("c")
