prepend_path("X",5)
