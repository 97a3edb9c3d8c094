prereq(atleast("x","2"))
