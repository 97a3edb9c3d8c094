local here = myFileName():gsub("[^/]*$", "")
loadfile(here .. "../../more/defines.lua")()
setenv("A", tostring(defined))
