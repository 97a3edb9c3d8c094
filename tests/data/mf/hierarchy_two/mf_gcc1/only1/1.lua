setenv("ONLY","1")
