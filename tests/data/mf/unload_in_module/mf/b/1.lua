unload("a")
setenv("B","1")
