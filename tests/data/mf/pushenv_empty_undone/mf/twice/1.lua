load("a2","b") unload("b")
