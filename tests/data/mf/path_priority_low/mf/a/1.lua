prepend_path{"P","/x",priority=5}
