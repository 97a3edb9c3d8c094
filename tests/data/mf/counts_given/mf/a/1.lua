prepend_path("X","/u")
remove_path("X","/t")
remove_path("X","/v")
