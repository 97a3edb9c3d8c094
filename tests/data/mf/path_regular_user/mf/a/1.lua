remove_path("P", "/none")
