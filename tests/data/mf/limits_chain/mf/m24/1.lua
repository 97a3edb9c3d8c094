load("m25")
prepend_path("P", "/m24")
