depends_on("c","b")
