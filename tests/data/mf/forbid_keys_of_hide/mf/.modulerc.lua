forbid{name="b/1", kind="hard"}
