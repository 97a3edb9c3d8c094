load("m8")
prepend_path("P", "/m7")
