unsetenv("X")
remove_path("P","/p")
