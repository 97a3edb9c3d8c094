prepend_path{"P", "/10", priority=10}
prepend_path{"P", "/100", priority=100}
prepend_path("P", "/0")
append_path{"P", "/e100", priority=100}
append_path{"P", "/e10", priority=10}
append_path("P", "/e0")
