unload("a","nope")
load("a")
