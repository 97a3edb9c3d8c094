module_version("x/1","default")
