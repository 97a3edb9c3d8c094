setenv("A", "1")
LmodMessage(5)
