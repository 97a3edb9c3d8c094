setenv("B", myModuleUsrName())
