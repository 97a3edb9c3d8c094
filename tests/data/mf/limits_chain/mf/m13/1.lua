load("m14")
prepend_path("P", "/m13")
