load(between("x","1.0","2.0"))
