load(atleast("x","1"))
