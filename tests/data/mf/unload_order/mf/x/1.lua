prepend_path("P","/x")
setenv("X","1")
