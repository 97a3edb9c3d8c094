add_property("state","testing")
add_property("arch","mic:offload")
setenv("A","1")
