local pkg = Pkg:new{ pkgRoot = "/here", level = 0, extra = "kept" }
setenv("HERE", pkg:pkgBase() .. "," .. pkg.extra)
