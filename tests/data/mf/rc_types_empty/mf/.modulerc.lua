module_version("a/1")
