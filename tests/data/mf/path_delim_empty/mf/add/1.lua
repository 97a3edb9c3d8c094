setenv("BEFORE", "1")
prepend_path("P", "a", "")
