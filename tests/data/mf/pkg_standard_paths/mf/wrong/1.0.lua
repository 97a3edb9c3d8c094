local pkg = Pkg:new{ level = 0 }
pkg:setStandardPaths("SHARE")
