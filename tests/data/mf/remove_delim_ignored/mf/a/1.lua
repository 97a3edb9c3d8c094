remove_path("P", "/b", ";")
append_path("P", "/x")
remove_path{"Q", "/b", delim=";"}
append_path("Q", "/x")
