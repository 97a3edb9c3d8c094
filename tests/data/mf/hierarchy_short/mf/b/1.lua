local parts = hierarchyA(myModuleFullName(), 2)
setenv("B", parts[1]:match("[^/]+/[^/]+$"))
setenv("B_NONE", #hierarchyA(myModuleFullName(), 0))
setenv("B_OTHER", hierarchyA("other", 1)[1])
