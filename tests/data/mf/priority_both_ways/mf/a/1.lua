prepend_path{"P", "/x", priority=10}
append_path{"P", "/x", priority=20}
