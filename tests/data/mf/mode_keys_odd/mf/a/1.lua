setenv{"A", "1", modeA={}}
