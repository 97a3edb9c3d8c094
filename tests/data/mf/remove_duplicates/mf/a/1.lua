remove_path("P", "/a")
