module_alias("al","a/1.2")
