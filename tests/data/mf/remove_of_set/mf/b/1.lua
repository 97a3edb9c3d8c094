setenv("P", "/a:/b")
prepend_path("P", "/c")
remove_path("P", "/a")
