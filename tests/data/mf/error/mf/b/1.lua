setenv("B","1")
LmodError("no, ","thanks")
