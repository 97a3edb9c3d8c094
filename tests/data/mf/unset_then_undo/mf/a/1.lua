unsetenv("A")
unsetenv("B")
setenv("B", "x")
