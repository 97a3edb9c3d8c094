prepend_path("P", "/x")
append_path("P", "/y")
