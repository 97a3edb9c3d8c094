depends_on(atleast("x","2"))
