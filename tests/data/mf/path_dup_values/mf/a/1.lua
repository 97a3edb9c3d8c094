append_path("X","/new")
