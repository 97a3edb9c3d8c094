setenv("COMMON", "1")
prepend_path("X", "/common")
