load("m17")
prepend_path("P", "/m16")
