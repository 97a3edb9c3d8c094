prepend_path("X","/a")
pushenv("P","a")
