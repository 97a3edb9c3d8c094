require("strict")
local hook = require("Hook")
local count = 0
local function on_load(t)
   count = count + 1
   setenv("HOOK_" .. count, t.modFullName .. "|" .. t.fn:gsub(".*/mf/", "") .. "|" .. t.mname:sn())
   append_path("HOOKED", t.modFullName)
   setenv("MODE", mode() .. tostring(isloaded(t.modFullName)))
end
local function on_unload(t)
   count = count + 1
   pushenv("UNHOOK_" .. count, t.modFullName)
   append_path("HOOKED", t.modFullName)
end
hook.register("load", on_load)
hook.register("unload", on_unload)
