prepend_path("MODULEPATH","/nope//dir/")
append_path("MODULEPATH", myFileName():gsub("a/1.lua",""))
