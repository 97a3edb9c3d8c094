setenv("P", "/x;/y")
prepend_path("P", "/z", ";")
