module_version("a/1","default")
