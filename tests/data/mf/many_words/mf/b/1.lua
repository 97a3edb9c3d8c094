depends_on("z","x/1","y")
