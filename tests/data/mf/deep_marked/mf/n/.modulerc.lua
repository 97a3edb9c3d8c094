module_version("n/32/1","default")
