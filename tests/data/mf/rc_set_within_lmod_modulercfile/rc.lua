module_version("x/1", "default")
module_alias("y", "x/2")
