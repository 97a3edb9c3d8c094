setenv("A", "1")
LmodMessage(nil)
