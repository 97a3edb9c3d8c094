local pkg = Pkg:new{ pkgRoot = "/r" } setenv("B", pkg:pkgBase() .. pkg:pkgName() .. pkg:pkgVersion() .. pkg:pkgDisplayName()) pkg:setStandardPaths("odd")
