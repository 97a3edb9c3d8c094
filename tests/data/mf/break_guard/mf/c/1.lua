setenv("GO","1")
