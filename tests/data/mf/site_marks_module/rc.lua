module_version("c/x","default")
