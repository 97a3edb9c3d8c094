setenv("D", ".1")
