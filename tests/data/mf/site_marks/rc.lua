module_version("x/1","default")
module_version("c/y/1","default")
module_version("z/1","default")
