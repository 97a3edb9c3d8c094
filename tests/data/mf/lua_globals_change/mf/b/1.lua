setenv("B", helper("1"))
setenv("E", tostring(string.extra))
old_setenv("O","1")
