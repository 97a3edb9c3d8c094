module_version("x/1","default")
module_alias("a","x/2")
