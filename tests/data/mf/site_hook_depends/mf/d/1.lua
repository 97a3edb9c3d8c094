setenv("d", "1")
