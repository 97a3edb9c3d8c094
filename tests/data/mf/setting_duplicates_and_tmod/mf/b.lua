prepend_path("P", "/z")
remove_path("P", "/y")
