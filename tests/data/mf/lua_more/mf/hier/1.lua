local h = hierarchyA(myModuleFullName(), 1) setenv("H", #h .. "/" .. type(h[1]))
