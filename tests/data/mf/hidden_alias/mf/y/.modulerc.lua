hide_version("y/2")
