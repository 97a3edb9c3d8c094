append_path("MODULEPATH", "/m1:/m1//")
prepend_path("MODULEPATH", "/m1")
append_path("P", "/u")
