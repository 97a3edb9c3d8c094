prepend_path{"P", "/u", priority=10}
prepend_path("P", "/v")
