load("x")
setenv("A","1")
LmodBreak()
