module_version("/1.1", "new", "1.1")
