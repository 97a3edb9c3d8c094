load("e/old")
