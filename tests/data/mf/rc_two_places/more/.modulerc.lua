module_alias("a","x/2")
module_alias("b","x/2")
module_version("x/2","n")
