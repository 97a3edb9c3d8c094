local posix = require("posix")
local lfs = require("lfs")
local here = os.getenv("LMOD_PACKAGE_PATH")
local names = {}
for name in lfs.dir(here) do names[#names + 1] = name end
table.sort(names)
sandbox_registration{ seen = { posix.stat(here, "type"), posix.stat(here .. "/SitePackage.lua").type, table.concat(names, " "),
   lfs.attributes(here, "mode"), tostring((posix.stat(here .. "/none"))), posix.uname("%s"), tostring((posix.access(here, "r"))),
   tostring((posix.access(here .. "/none", "r"))), posix.getenv("USER"), posix.basename(here), tostring(posix.getpid("uid") ~= nil),
   tostring(isDir(here)), tostring(isFile(here .. "/SitePackage.lua")), capture("echo hi"):trim(), subprocess("echo ho"):trim() } }
