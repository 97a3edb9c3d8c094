load("a/1.0")
depends_on("b")
