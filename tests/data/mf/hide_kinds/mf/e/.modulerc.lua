hide{name="e/2", kind="hard"}
module_version("e/2", "default")
