setenv("INNER","1")
