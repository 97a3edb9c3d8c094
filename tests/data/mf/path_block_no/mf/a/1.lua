prepend_path("A","/a:/b:/c")
append_path("A","/x:/y")
