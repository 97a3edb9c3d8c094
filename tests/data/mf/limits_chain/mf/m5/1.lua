load("m6")
prepend_path("P", "/m5")
