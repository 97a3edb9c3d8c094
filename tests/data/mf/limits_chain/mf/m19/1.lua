load("m20")
prepend_path("P", "/m19")
