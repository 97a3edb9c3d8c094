depends_on("d/2")
