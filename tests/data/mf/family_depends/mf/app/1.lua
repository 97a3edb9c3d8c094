depends_on("a")
setenv("APP","1")
