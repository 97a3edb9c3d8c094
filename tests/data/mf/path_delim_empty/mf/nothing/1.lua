prepend_path("P", "", "")
