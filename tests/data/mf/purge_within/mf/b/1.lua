load("a") setenv("B","1")
