module_version("marked/1","default")
