append_path("P", "::")
