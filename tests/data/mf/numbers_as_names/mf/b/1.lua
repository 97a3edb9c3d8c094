setenv("S", 5 .. "")
load("x/1")
