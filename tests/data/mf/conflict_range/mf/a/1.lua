conflict(between("x","1.5","2.5"))
