prepend_path{"P", "/first", priority=50}
append_path{"P", "/last", priority=50}
