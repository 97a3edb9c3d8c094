append_path("P", "/a")
append_path("P", "/a")
