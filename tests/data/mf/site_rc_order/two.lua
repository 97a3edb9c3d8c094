module_alias("a","x/2")
