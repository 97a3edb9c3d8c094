setenv("APP", "gcc1")
prepend_path("X","/app1")
