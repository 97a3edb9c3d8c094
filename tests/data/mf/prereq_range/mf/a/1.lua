prereq(atleast("x","2.0"))
