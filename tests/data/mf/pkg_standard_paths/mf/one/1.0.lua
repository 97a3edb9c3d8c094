local pkg = Pkg:new{ level = 0 }
pkg:setStandardPaths("DIR", "bin", "LIB", "Inc", "DOC", "MAN")
