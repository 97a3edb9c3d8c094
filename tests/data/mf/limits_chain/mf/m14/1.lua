load("m15")
prepend_path("P", "/m14")
