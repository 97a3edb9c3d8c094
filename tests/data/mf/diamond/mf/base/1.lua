prepend_path("P","/base")
