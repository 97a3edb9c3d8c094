module_alias("e/1", "e/.one")
hide_version("e/.one")
