remove_path("P", "/a")
remove_path("P", "/b")
remove_path("P", "/c")
