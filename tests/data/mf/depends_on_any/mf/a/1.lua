depends_on_any("nope","x","y")
setenv("A","1")
