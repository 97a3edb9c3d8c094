load("m22")
prepend_path("P", "/m21")
