try_load{"x",modeA={"unload"}}
load_any{"y",modeA={"unload"}}
