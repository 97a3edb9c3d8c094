hide{name="c", kind="hard"}
hide{name="c/1.0", kind="soft"}
