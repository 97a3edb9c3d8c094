setenv("C", "z")
