load("m24")
prepend_path("P", "/m23")
