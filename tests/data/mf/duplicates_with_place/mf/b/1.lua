prepend_path("P", "/a")
remove_path("P", "/a")
