setenv("TWO", hierarchyA("/", 60)[60])
