setenv("E", myModuleVersion())
