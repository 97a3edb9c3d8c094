depends_on(between("f", "1", "<2"))
