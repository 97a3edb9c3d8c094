setenv("A", 7//2)
