setenv("APP","m1")
prepend_path("P","/m1")
