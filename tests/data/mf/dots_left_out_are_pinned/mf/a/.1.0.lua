setenv("A", myModuleUsrName())
