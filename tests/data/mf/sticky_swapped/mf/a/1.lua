add_property("lmod","sticky")
setenv("A","1")
