load(atmost("x","2.5"))
