depends_on("d/1")
