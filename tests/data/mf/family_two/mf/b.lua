family("g")
setenv("B","1")
