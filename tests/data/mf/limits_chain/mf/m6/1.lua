load("m7")
prepend_path("P", "/m6")
