prepend_path("X","/2")
