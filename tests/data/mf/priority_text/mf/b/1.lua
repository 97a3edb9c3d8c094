prepend_path{"P", "/x", priority="high"}
