local families = { gcc = "compiler", intel = "compiler" }
local function set_family(t)
   local name = families[myModuleName()]
   if name then family(name) end
   if myModuleName() == "other" then add_property("state", "testing") conflict("gcc") end
end
local hook = require("Hook")
hook.register("load", set_family)
hook.register("unload", set_family)
