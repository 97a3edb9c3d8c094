append_path("P", "/s:/c")
