setenv("END", "1")
