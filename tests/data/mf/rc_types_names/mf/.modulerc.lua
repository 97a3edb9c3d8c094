module_version("a/1",5)
