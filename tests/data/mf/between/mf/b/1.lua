load(atleast("x","2.5"))
