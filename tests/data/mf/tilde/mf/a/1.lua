prepend_path("X","~")
append_path("X","/a/~/b")
setenv("Y","~/x")
