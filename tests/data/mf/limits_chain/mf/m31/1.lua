load("m32")
prepend_path("P", "/m31")
