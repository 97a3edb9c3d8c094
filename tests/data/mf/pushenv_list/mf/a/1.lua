prepend_path("P", "/a")
pushenv("P", "/x:/y")
append_path("P", "/b")
