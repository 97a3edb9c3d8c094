module_alias("a","n/64/1")
module_alias("b","n/64")
module_alias("c","x/1")
module_alias("d","x/default")
