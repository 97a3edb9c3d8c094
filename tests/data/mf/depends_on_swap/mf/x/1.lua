depends_on("c")
