load("a","b")
