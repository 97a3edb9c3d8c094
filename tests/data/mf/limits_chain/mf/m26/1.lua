load("m27")
prepend_path("P", "/m26")
