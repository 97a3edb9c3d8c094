setenv("A", "1")
LmodMessage(true)
