hide{name="a/2", kind="soft"}
hide{name="a/3", kind="hidden"}
hide{name="a/4", kind="hard"}
