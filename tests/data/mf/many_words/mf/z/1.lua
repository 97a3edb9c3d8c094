prepend_path("P","/z")
