require("strict")
local cosmic = require("Cosmic"):singleton()
cosmic:assign("LMOD_SITE_NAME", "Fig")
cosmic:assign("LMOD_DUPLICATE_PATHS", "yes")
cosmic:assign("LMOD_EXACT_MATCH", "yes")
local function echo(text) setenv("ECHO", text) end
sandbox_registration{ echo = echo }
