local parts = hierarchyA("mf", 1)
setenv("TWICE", parts[1])
