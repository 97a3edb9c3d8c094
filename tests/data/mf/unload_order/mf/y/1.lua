prepend_path("P","/y")
load("x")
