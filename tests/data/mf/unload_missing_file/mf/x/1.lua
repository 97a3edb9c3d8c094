setenv("X","1")
load("y")
