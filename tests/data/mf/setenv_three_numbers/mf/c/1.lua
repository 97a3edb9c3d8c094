setenv("A", true, "yes")
