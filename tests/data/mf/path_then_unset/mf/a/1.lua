prepend_path("NEW","/a")
append_path("OLD","/a")
