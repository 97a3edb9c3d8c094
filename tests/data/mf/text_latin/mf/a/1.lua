setenv("A", "café")
prepend_path("P", "/ÿ")
