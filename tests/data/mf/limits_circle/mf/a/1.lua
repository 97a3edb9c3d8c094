depends_on("b")
setenv("A", "1")
