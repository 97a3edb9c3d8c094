setenv("foo","1") set_alias("foo","bar") setenv("seen", os.getenv("foo"))
