hide{name="f/.2", kind="soft"}
