prereq("x/1")
