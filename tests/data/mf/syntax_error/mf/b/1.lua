setenv("B","1"
if x
