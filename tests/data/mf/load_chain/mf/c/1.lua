prepend_path("X","/c")
