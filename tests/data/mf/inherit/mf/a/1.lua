setenv("A","mine")
inherit()
prepend_path("X","/mine")
