prepend_path("PATH","/a2/bin")
setenv("B",tostring(os.getenv("A")))
