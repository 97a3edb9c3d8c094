setenv("P", "/a:/b")
remove_path("P", "/a")
