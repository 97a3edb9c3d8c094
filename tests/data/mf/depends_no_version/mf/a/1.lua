depends_on(between("g", "3", "4"))
setenv("A", "1")
