prepend_path{"P", "/a", _mine=true}
