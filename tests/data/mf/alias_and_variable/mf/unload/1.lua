unload("set")
