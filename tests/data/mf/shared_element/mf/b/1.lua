prepend_path("X","/b")
append_path("X","/s")
