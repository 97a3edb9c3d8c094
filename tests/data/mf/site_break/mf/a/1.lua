setenv("BEFORE","1") only_if(false) setenv("AFTER","1")
