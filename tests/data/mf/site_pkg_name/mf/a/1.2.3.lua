local pkg = Pkg:new{ Category = "library", Description = "a thing", display_name = "Aaa", level = 0, help = "help" }
local base = pkg:pkgBase()
setenv("BASE", base)
setenv("DIR", pkg:moduleDir())
pkg:setStandardPaths("LIB", "BIN", "DIR", "MAN")
prepend_path("PATH", pathJoin(base, "more"))
