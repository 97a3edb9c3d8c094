
prepend_path("PATH","/a/bin")
append_path("PATH","/a/late")
prepend_path("NEW","/a")
append_path("NEW","/b")
