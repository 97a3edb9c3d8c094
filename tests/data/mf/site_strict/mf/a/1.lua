setenv("A", tostring(read_it()))
