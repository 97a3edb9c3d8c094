load(between("x",">1","2"))
