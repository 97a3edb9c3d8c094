prepend_path("P","/b")
prepend_path{"P","/a",priority=50}
