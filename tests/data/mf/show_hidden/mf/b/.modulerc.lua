hide_version("b/2")
