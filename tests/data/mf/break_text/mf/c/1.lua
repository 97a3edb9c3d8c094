setenv("A","c")
prepend_path("P","/c")
