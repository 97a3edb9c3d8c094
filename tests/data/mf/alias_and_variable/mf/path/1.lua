setenv("foo","1") set_alias("foo","bar") prepend_path("foo","/x")
