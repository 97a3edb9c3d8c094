depends_on("b")
