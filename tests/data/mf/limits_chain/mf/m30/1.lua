load("m31")
prepend_path("P", "/m30")
