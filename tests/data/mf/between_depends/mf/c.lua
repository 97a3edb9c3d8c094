conflict(atleast("x","2"))
