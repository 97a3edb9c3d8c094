depends_on("c")
setenv("B", "1")
