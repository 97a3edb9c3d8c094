local pkg = Pkg:new{ level = 0, display_name = "Second" }
pkg:setStandardPaths("BIN")
