depends_on("b")
prepend_path("X","/c")
