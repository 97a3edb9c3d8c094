setenv("X","1")
LmodBreak("no")
