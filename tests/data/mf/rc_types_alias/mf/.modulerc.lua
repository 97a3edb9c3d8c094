module_alias("q",5)
