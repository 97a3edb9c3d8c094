pushenv("A", "3")
