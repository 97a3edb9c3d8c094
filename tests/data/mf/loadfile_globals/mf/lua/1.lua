local here = myFileName():gsub("[^/]*$", "")
loadfile(here .. "../../more/lua.lua")()
setenv("A", "1")
