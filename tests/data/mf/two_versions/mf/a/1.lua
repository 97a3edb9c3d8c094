prepend_path("X","/1")
