prepend_path("X","/b")
append_path("X","/a")
prepend_path("X","/n")
