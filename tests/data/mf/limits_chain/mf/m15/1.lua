load("m16")
prepend_path("P", "/m15")
