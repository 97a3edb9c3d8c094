prepend_path("LIST", "/one\n/two")
setenv("AFTER", "here")
