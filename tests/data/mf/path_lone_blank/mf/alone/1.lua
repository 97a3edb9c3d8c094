append_path("R","/x")
