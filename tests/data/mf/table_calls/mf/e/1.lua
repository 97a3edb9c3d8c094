prepend_path{"MODULEPATH","/nope",modeA={"load"}}
