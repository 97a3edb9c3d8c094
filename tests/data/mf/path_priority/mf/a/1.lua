
prepend_path{"P","/a10",priority=10}
prepend_path{"P","/a0"}
prepend_path{"P","/a100",priority=100}
append_path{"P","/z10",priority=10}
append_path{"P","/z0"}
prepend_path{"P","/a10b",priority=10}
