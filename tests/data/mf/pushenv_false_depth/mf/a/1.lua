pushenv("A", "1")
