local t = {"P", "/a"}
prepend_path(t)
t[1] = "Q"
append_path(t)
