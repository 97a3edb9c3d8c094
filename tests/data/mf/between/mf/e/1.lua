load(atleast("x","9.0"))
