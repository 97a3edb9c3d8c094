prepend_path("P", ":")
