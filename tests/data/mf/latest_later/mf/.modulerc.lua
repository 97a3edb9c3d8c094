hide_version("z/1")
