add_property("state", "new")
add_property("lmod", "sticky")
setenv("B", "1")
