append_path("CFLAGS", "-O2 -g", " ")
prepend_path{"CFLAGS", "-I/x", delim=" "}
