prereq(atmost("x","2.0"))
