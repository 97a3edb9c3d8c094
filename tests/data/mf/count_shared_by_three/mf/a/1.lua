prepend_path("P", "/s:/a")
