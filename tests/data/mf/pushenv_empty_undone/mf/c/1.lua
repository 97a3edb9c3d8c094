pushenv("Z",false) setenv("AFTER","1")
