module_alias("a","b")
module_alias("b","a")
module_version("c/1","2")
