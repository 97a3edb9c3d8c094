load("m35")
prepend_path("P", "/m34")
