load("m1")
prepend_path("P", "/m0")
