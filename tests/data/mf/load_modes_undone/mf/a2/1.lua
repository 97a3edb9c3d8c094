load{"b",modeA={"load","unload"}} setenv("A","1")
