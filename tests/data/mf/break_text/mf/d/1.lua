try_load("a")
load("c")
setenv("SEEN", os.getenv("A"))
