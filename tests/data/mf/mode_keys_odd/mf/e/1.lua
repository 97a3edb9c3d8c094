setenv{"A", "1", modeA={"load"}, mode={"unload"}}
