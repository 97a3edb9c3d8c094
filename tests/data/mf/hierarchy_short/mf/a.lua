local parts = hierarchyA("a", 40)
setenv("A", #parts .. "," .. parts[1] .. "," .. parts[2])
setenv("A_LAST", parts[40])
