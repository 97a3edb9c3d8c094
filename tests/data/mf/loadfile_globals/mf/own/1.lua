function mine() return 7 end
local here = myFileName():gsub("[^/]*$", "")
loadfile(here .. "../../more/own.lua")()
