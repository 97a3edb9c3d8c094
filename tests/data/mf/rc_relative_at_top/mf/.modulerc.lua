module_version("/1","default")
