set_alias("foo","bar") setenv("foo","1")
