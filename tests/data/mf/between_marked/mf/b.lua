load(atleast("x","3"))
