module_version("/64","default")
