unload("a")
