prepend_path("P", "/b")
append_path("P", "/bb")
