module_version("x/1","default")
module_alias("al","y/1")
