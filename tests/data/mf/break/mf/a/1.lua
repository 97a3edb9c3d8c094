setenv("A","1")
LmodBreak("enough")
setenv("A2","1")
