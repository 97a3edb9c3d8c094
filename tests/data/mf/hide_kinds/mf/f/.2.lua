setenv("F", ".2")
