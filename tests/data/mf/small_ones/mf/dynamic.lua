if haveDynamicMPATH then haveDynamicMPATH() end setenv("A", type(haveDynamicMPATH))
