module_alias("a","x/1")
