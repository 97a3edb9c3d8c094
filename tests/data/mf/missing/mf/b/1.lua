setenv("B","1")
load("nope")
