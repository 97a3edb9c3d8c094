setenv("THREE", hierarchyA("x/y/z", 60)[60])
