require("strict")
local hook = require("Hook")
local function injected(path) return (string.gsub(path or "", "versions", "host_injections")) end
local function check(t)
   local mt = require("FrameStk"):singleton():mt()
   local simple = string.match(t.modFullName, "(.-)/")
   if simple == "CUDA" and not isDir(injected(os.getenv("EESSI_SOFTWARE_PATH")) .. "/software/" .. t.modFullName) then
      LmodError("\nYou requested to load ", simple, " which is not here\n")
   end
   if mt:haveProperty(simple, "arch", "gpu") and os.getenv("EESSICUDAVERSION") and not isFile("/nowhere/libcuda.so") then
      LmodError("\nno driver for ", simple)
   end
   setenv("CHECKED", t.modFullName)
end
hook.register("load", check)
local host = injected(os.getenv("EESSI_PREFIX")) .. "/.lmod/SitePackage.lua"
if isFile(host) then dofile(host) end
