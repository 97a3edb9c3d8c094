prepend_path{"P","/a",priority=20}
append_path{"P","/z",priority=20}
