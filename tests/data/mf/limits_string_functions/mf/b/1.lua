setenv("A", string.format("%100d", 1))
