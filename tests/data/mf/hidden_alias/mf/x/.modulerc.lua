module_version("/2","new")
hide_version("x/new")
