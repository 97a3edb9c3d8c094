prepend_path("PATH","/b/bin")
prepend_path("PATH","/shared")
