hide{name="b/1", kind="somewhat"}
