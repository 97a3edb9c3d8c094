local pkg = Pkg:new{ level = 1, digit_rule = 1 }
setenv("FLAT_BASE", pkg:pkgBase())
setenv("FLAT_MODULES", pkg:moduleDir())
