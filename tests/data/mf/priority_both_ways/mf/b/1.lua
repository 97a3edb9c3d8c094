append_path{"P", "/x", priority=20}
prepend_path{"P", "/x", priority=10}
