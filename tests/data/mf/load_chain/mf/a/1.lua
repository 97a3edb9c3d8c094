load("b")
prepend_path("X","/a")
