hide_version("w/1")
