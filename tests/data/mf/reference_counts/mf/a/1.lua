depends_on("d")
