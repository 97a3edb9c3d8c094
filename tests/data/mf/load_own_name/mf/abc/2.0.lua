setenv("TOP","1")
load("abc/.cpu/2.0")
