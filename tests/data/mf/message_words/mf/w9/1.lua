setenv("A", "1")
LmodMsgRaw("x", nil, "y")
