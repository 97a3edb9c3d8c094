load("m38")
prepend_path("P", "/m37")
