depends_on("x")
setenv("C","1")
