prereq("x/2")
