require("strict")
local FrameStk = require("FrameStk")
local MName = require("MName")
local hook = require("Hook")
local function on_load(t)
   local stack = FrameStk:singleton()
   local mt = stack:mt()
   local name = t.modFullName:gsub("[^%w]", "_")
   local sn = t.mname:sn()
   setenv("HOOK_" .. name, table.concat({
      tostring(stack:atTop()), tostring(stack:stackDepth()), tostring(stack:empty()), stack:fullName(), stack:sn(),
      stack:userName(), tostring(stack:version()), t.mname:userName(), t.mname:fullName(), t.mname:version() or "none",
      t.mname:defaultKind(), tostring(mt:exists(sn)), tostring(mt:have(sn, "active")), mt:fullName(sn),
      tostring(mt:haveProperty(sn, "lmod", "sticky")), tostring(mt:stackDepth(sn)), mode(),
   }, "|"))
end
hook.register("load", on_load)
local function version_of(name)
   if not isloaded(name) then return nil end
   return MName:new("mt", name):version()
end
local function would_be(name)
   local mname = MName:new("load", name)
   return tostring(mname:fullName()) .. tostring(mname:sn())
end
sandbox_registration{ version_of = version_of, would_be = would_be }
