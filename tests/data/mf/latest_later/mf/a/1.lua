depends_on(latest("z")) depends_on(between("z","2","3")) setenv("A","1")
