known = 5
local here = myFileName():gsub("[^/]*$", "")
loadfile(here .. "../../more/environment.lua", "t", _ENV)()
setenv("A", made)
