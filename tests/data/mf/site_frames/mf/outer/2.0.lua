load("a") depends_on("b")
