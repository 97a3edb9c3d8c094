
prepend_path("X","/a")
setenv("X","/s:/t")
prepend_path("X","/b")
setenv("Y","/y")
remove_path("Y","/y")
append_path("Z","/1")
unsetenv("Z")
append_path("Z","/2")
