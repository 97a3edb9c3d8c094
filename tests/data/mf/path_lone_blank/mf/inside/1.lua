append_path("Q","/x")
