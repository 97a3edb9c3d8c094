module_version("c/9","default")
