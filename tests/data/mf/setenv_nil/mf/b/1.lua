setenv("A", "x", nil)
