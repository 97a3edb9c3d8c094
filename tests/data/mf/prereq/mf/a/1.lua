prereq("x")
setenv("A","1")
