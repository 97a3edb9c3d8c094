setenv("xcc", "1")
