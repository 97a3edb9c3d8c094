prepend_path{"P", "/a", kind="x", n=7}
