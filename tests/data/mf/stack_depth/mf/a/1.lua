load("b")
setenv("A","1")
