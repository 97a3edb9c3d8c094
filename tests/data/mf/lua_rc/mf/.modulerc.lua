module_version("x/" .. 4/2, "default") module_alias("y", "x/" .. 3/1)
