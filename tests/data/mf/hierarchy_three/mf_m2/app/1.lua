setenv("APP","m2")
prepend_path("P","/m2")
