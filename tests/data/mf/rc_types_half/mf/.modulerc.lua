module_alias("x")
