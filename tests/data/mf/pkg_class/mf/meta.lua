local pkg = Pkg:new{ level = 0 }
setenv("META", pkg:pkgName())
