LmodMessage("hello")
LmodMsgRaw("raw\n")
setenv("A","1")
