hide_version(5)
