prepend_path("P", "/1:/2:/3")
append_path("P", "/4:/5")
