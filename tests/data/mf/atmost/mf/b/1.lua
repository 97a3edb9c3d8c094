depends_on(atmost("x","0.5"))
