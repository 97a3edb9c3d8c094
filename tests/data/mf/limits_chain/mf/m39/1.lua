load("m40")
prepend_path("P", "/m39")
