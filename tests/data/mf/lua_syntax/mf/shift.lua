setenv("A", 1 << 2)
