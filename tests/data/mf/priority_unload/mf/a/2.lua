prepend_path("P","/a2")
