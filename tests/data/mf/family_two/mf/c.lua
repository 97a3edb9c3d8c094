family("f")
family("g")
setenv("C","1")
