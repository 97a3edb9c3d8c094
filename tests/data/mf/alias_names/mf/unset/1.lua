unset_alias("a b")
