setenv("A", "1")
LmodMessage("a", {})
