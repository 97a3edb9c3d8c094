prepend_path("PATH","/a1/bin")
setenv("A","1")
append_path("M","/a1/man")
prepend_path("PATH","/shared")
