depends_on("x")
