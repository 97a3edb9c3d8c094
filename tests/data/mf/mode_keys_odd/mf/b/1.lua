setenv{"A", "1", modeA={"sometimes"}}
