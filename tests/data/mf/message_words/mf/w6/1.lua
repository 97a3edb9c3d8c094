setenv("A", "1")
LmodMsgRaw(true)
