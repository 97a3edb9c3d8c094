setenv("D","1")
prepend_path("P","/d")
