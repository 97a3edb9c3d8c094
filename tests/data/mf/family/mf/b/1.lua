family("comp")
prepend_path("X","/b")
setenv("B","1")
