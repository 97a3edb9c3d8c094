setenv("APP", "gcc2")
prepend_path("X","/app2")
