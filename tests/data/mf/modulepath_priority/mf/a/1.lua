append_path{"MODULEPATH", "/m1", priority=10}
append_path("MODULEPATH", "/m2")
prepend_path{"MODULEPATH", "/m3", priority=10}
prepend_path("MODULEPATH", "/m4")
