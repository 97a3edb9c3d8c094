remove_path("P", "/u")
remove_path("Q", "/u:/v")
remove_path("R", "/x")
