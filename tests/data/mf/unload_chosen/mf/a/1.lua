load(atleast("d", "1"))
