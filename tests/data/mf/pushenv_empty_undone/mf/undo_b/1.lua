unload("b")
