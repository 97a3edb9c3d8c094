module_version("a/2","default")
