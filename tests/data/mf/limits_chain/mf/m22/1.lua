load("m23")
prepend_path("P", "/m22")
