setenv("A", string.format("%s", nil))
