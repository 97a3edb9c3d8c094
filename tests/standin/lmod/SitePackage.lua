-- Refuses, as EESSI does, a package that is here only in part as long as the site has not installed the
-- rest; then loads the site's own file.
local hook = require("Hook")
local repository = os.getenv("EESSI_CVMFS_REPO") or ""
local family = os.getenv("EESSI_CPU_FAMILY") or ""
local incomplete = { CUDA = true, cuDNN = true }

hook.register("load", function(t)
   local name = t.modFullName:match("^[^/]+")
   if not incomplete[name] or t.fn:find(repository, 1, true) ~= 1 then
      return
   end
   local full = pathJoin(repository, "host_injections", family, "software", t.modFullName)
   if not isDir(pathJoin(full, "easybuild")) then
      LmodError("\n", t.modFullName, " is here without the files that its licence keeps back.\n",
                "Your site can install it in ", full, "\n")
   end
end)

local site = pathJoin(repository, "host_injections", os.getenv("EESSI_VERSION") or "", ".lmod", "SitePackage.lua")
local file = io.open(site)
if file then
   file:close()
   dofile(site)
end
