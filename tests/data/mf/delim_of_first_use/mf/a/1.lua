prepend_path("P", "/a", ";")
prepend_path("P", "/b:/c")
append_path{"P", "/d;/e", delim=";"}
