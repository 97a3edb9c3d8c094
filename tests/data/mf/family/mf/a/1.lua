family("comp")
prepend_path("X","/a")
setenv("A","1")
