depends_on("l")
depends_on("r")
