load("m33")
prepend_path("P", "/m32")
