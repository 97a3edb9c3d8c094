append_path("P", "/a")
prepend_path("P", "/b")
append_path("MODULEPATH", "/nowhere")
