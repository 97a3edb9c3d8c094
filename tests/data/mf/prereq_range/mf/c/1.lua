prereq(latest("x"))
