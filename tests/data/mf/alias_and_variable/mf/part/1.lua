setenv("foo","1") set_alias("foo","bar") LmodBreak("no")
