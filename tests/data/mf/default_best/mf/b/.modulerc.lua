module_alias("q","b/1")
