append_path("X","/two")
