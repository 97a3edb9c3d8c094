setenv("D1", "1")
