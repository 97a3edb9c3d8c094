load("m34")
prepend_path("P", "/m33")
