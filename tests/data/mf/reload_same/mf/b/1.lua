prepend_path("X","/b")
setenv("P","b")
