append_path("X","/b")
remove_path("X","/c")
