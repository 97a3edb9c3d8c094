append_path("L", "one", "::")
append_path("L", "two", "::")
