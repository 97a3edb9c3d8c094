module_version("y/1","default")
