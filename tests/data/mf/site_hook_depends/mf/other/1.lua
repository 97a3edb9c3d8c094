setenv("other", "1")
