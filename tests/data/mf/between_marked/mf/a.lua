load(between("x","1","3"))
