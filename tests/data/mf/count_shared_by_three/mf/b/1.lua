prepend_path("P", "/s:/b")
