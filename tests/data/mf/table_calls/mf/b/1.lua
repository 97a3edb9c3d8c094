load{"x","y",modeA={"load"}}
unload{"x",modeA={"unload"}}
