module_version("b/2","default")
