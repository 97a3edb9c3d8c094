setenv("A", "1")
LmodMsgRaw(5)
