try_load{"b",modeA={"unload"}}
