pushenv("Z","x") setenv("AFTER","1")
