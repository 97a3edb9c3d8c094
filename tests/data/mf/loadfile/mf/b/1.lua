local f, e = loadfile("/nope.lua")
setenv("B", tostring(f))
