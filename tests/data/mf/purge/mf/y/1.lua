prepend_path("P","/y")
