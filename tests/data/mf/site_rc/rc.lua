module_version("x/1","default","keep")
module_version("y/1","default")
module_alias("al","x/2")
