module_alias("a","x/1")
module_version("x/1","n")
