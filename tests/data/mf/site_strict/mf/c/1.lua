setenv("C", tostring(read_declared()))
