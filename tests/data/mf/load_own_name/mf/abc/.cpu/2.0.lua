setenv("CPU","1")
