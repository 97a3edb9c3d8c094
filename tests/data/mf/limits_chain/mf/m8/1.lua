load("m9")
prepend_path("P", "/m8")
