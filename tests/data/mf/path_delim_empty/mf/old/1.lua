append_path("OLD", "", "")
