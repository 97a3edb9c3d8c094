set_alias("old","bar") prepend_path("old","/x")
