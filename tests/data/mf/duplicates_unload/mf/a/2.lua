prepend_path("X","/s")
