always_load{"x",modeA={"unload"}}
