prepend_path("X","/b2")
