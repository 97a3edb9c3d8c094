family("f")
setenv("B","1")
