load("m11")
prepend_path("P", "/m10")
