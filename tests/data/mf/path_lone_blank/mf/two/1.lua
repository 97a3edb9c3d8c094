append_path("P","  ")
