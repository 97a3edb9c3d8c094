depends_on{"x"}
