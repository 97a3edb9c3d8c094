
append_path("X","/one")
prepend_path("Y","/two")
prepend_path("Z","/one")
