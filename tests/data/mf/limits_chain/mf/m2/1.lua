load("m3")
prepend_path("P", "/m2")
