module_version("x/2","default")
