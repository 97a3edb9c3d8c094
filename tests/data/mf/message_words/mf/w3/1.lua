setenv("A", "1")
LmodMessage("x", nil, "y")
