purge()
setenv("A","1")
