module_version(("x")
