depends_on("b/1")
depends_on("c")
prepend_path("X","/a")
