prepend_path("PATH","/b/bin")
append_path("PATH","/b/late")
