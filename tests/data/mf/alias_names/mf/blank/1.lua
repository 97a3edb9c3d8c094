set_alias("a b","bar")
