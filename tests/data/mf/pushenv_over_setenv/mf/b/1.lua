setenv("A", "3")
pushenv("A", "4")
