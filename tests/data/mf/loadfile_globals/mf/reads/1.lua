local here = myFileName():gsub("[^/]*$", "")
loadfile(here .. "../../more/reads.lua")()
