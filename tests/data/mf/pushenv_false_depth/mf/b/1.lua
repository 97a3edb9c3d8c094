pushenv("A", false)
