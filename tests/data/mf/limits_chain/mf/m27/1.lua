load("m28")
prepend_path("P", "/m27")
