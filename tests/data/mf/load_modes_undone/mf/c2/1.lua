unload("a2")
