prereq("n/a")
