LmodWarning("careful")
setenv("B","1")
