prepend_path("P"," ")
