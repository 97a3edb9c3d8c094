load("m29")
prepend_path("P", "/m28")
