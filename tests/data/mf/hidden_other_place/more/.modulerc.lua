hide_version("x/2")
