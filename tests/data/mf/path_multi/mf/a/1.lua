
prepend_path("A","/a:/b:/c")
append_path("A","/x:/y")
prepend_path("B","/1:/2:/1")
append_path("B","/3:/3")
