setenv{"C","1",modeA={"sometimes"}}
