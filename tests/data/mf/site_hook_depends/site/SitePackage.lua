local hook = require("Hook")
local function more(t)
   if t.modFullName:find("^xcc") then depends_on("d") end
end
hook.register("load", more)
hook.register("unload", more)
