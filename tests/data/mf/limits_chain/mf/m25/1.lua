load("m26")
prepend_path("P", "/m25")
