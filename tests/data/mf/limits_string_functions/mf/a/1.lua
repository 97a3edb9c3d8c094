setenv("A", string.format("%99d", 1))
setenv("B", #string.rep("ab", 10000))
