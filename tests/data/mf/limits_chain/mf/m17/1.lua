load("m18")
prepend_path("P", "/m17")
