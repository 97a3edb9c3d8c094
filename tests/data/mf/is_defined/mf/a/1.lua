setenv("A", tostring(isDefined("setenv")))
setenv("B", tostring(isNotDefined("nope_nope")))
