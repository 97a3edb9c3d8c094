family("f")
setenv("A","2")
