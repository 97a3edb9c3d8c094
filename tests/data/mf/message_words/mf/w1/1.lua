setenv("A", "1")
LmodMessage("x", 5)
