load("m4")
prepend_path("P", "/m3")
