load("m21")
prepend_path("P", "/m20")
