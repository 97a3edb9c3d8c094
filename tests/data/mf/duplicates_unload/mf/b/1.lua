prepend_path("X","/s")
prepend_path("X","/b")
