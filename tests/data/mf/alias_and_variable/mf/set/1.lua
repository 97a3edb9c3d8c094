setenv("foo","1") set_alias("foo","bar") set_alias("old","x")
