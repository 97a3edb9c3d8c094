try_load("a")
setenv("D", tostring(os.getenv("A")))
