prereq("x")
