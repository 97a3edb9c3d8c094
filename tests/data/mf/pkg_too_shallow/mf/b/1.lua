local pkg = Pkg:new{ level = 30 }
setenv("B", pkg:pkgName())
