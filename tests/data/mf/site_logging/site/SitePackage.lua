require("strict")
require("lmod_system_execute")
local hook = require("Hook")
local uname = require("posix").uname
local cosmic = require("Cosmic"):singleton()
local syshost = cosmic:value("LMOD_SYSHOST")
local dbg = require("Dbg"):dbg()
local messages = {}
function load_hook(t)
   dbg.start{"load_hook"}
   if mode() ~= "load" then return end
   local host = syshost or uname("%n")
   messages[#messages + 1] = string.format("user=%s module=%s path=%s host=%s time=%f", os.getenv("USER"), t.modFullName, t.fn, host, epoch())
   dbg.fini("load_hook")
end
hook.register("load", load_hook)
local function report()
   for i = 1, #messages do lmod_system_execute("true " .. messages[i]) end
   setenv("REPORTED", #messages)
end
ExitHookA.register(report)
hook.register("avail", function(t) end)
hook.register("msgHook", function(kind, a) return a end)
hook.register("no_such_hook_is_a_warning_only" and "writeCache", function(t) end)
