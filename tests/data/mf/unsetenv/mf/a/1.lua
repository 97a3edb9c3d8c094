
unsetenv("X")
unsetenv("NEVER")
setenv("Y","1")
unsetenv("Y")
