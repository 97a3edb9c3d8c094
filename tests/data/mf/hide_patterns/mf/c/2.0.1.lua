setenv("C", "2.0.1")
