append_path("P", "/x")
prepend_path("P", "/x")
append_path("P", "/u1")
prepend_path("P", "/u3")
