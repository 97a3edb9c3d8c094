setenv("A","1")
if mode() == "unload" then local x = nil; x.y = 1 end
setenv("LATE","1")
