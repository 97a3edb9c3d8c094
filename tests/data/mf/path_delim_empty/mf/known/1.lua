prepend_path("P", "a:b")
prepend_path("P", "c", "")
