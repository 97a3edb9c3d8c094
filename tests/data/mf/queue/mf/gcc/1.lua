local d = myFileName():gsub("mf/gcc/1.lua","mf_gcc")
prepend_path("MODULEPATH", d)
load("tool")
