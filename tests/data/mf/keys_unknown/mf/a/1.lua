prepend_path{"P", "/a", nodups=true}
