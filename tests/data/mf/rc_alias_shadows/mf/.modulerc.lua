module_alias("x","y/2")
