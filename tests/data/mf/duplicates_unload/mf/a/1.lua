prepend_path("X","/s")
append_path("X","/s")
