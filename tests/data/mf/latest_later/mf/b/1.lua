depends_on(latest("z")) setenv("B","1")
