module_version("/1","2")
