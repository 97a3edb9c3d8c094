append_path("MODULEPATH", "")
