setenv("A")
