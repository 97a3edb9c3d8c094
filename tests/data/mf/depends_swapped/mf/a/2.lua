depends_on("y")
