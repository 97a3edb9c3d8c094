append_path("P", "/y", ";")
remove_path("P", "/b", ";")
