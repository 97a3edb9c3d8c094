local parts = hierarchyA(myModuleFullName(), 1)
setenv("DEEP", parts[1]:match("[^/]+/[^/]+/[^/]+/[^/]+$"))
