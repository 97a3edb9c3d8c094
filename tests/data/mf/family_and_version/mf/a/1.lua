family("f")
setenv("A","1")
