pushenv("A", nil)
