
setenv{"A","1"}
setenv{"ONLOAD","1",modeA={"load"}}
setenv{"ONUNLOAD","1",modeA={"unload"}}
prepend_path{"P","/a",modeA={"load"}}
append_path{"P","/z",modeA={"normal"}}
pushenv{"Q","a",modeA={"load","unload"}}
unsetenv{"U",modeA={"load"}}
