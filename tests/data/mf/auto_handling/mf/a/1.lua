prereq("x","y")
