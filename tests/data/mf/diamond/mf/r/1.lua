depends_on("base")
prepend_path("P","/r")
