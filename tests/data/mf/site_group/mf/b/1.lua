required_group("no_such_group") setenv("B","1")
