set_alias("old","bar") setenv("seen", os.getenv("old"))
