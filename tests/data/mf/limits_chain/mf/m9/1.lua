load("m10")
prepend_path("P", "/m9")
