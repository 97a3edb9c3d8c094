local pkg = Pkg:new{ level = 0, digit_rule = 1 }
setenv("OTHER_MODULES", pkg:moduleDir())
