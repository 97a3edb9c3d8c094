unload("a4")
