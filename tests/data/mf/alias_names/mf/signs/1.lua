set_alias("a-b+c.d","bar")
