local pkg = Pkg:new{ level = 30 }
