try_add("c/7")
setenv("B","1")
