depends_on("a")
setenv("C", "1")
