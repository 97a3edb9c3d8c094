setenv("A","theirs")
prepend_path("X","/theirs")
