load(latest("z")) setenv("C","1")
