setenv("A", "x" .. nil)
