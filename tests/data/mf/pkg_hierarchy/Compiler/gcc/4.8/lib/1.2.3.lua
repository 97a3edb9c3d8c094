local pkg = Pkg:new{ level = 1 }
setenv("LIB_BASE", pkg:pkgBase())
setenv("LIB_MODULES", pkg:moduleDir())
