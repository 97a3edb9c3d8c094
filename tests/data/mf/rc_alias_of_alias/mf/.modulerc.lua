module_alias("a","b")
module_alias("b","x/1")
