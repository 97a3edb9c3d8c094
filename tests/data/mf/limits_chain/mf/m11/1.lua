load("m12")
prepend_path("P", "/m11")
