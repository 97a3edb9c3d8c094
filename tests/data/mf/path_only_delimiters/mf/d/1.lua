prepend_path("PATH", ":")
