load("m39")
prepend_path("P", "/m38")
