load("m13")
prepend_path("P", "/m12")
