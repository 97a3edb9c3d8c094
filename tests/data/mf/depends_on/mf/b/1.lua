prepend_path("X","/b1")
