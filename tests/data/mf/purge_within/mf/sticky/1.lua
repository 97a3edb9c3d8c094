add_property("lmod","sticky") setenv("S","1")
