
local f = io.open(dirname(myFileName()) .. "../../data.txt", "r")
setenv("FIRST", f:read("*l"))
setenv("REST", (f:read("*a"):gsub("\n", "|")))
f:close()
setenv("NOPE", tostring(io.open("/nope/nope")))
