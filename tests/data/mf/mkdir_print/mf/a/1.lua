io.stderr:write("hello\n")
setenv("A","1")
