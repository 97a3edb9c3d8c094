load("c/1")
prepend_path("X","/b")
