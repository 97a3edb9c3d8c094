append_path("P","/three")
