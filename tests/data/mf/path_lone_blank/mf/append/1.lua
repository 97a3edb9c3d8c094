append_path("P"," ")
