module_version("x/1","default")
module_version("x/2","default")
