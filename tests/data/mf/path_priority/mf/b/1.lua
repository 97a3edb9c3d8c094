prepend_path("P","/b")
append_path("P","/y")
prepend_path{"P","/b50",priority=50}
