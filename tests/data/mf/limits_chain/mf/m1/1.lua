load("m2")
prepend_path("P", "/m1")
