load("m5")
prepend_path("P", "/m4")
