append_path{"P", "/v", priority=10}
