unload("a3")
