module_version("x/2","default")
module_version("y/1","default")
