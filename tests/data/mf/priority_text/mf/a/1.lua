prepend_path{"P", "/x", priority="10"}
