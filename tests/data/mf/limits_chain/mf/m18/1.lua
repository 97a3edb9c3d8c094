load("m19")
prepend_path("P", "/m18")
