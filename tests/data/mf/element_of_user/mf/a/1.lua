prepend_path("X","/u")
