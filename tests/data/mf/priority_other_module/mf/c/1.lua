prepend_path("P", "/first")
append_path("P", "/last")
