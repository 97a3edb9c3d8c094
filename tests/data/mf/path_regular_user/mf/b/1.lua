append_path("P", "/x")
