hide_version("y/1")
