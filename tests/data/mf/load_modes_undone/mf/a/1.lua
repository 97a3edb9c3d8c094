load{"b",modeA={"unload"}} setenv("A","1")
