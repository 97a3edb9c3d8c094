module_alias("a","x/")
