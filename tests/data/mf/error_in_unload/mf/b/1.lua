setenv("B","1")
if mode() == "unload" then LmodError("no") end
setenv("LATE","1")
