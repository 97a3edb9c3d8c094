setenv("A", "x" .. true)
