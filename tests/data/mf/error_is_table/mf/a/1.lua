setenv("A", "1")
assert(false, { x = 1 })
setenv("B", "2")
