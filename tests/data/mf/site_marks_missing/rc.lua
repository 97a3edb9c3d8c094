module_version("x/3","default")
module_version("none/1","default")
