prepend_path("P", "/a")
append_path("Q", "/a")
prepend_path("R", "/a")
append_path("S", "/a")
