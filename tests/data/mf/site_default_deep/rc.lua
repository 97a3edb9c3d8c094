module_version("n/64/1","default")
