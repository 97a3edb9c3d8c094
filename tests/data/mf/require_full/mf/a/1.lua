requireFullName()
setenv("A","1")
