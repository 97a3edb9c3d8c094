local parts = hierarchyA("a/b/c/d/e/1", 9)
setenv("A", parts[9])
