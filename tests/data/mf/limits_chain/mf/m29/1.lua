load("m30")
prepend_path("P", "/m29")
