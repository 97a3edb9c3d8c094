try_load("a") setenv("OUTER","1")
