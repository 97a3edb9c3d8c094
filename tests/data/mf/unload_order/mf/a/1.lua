load("x")
load("y")
prepend_path("P","/a")
