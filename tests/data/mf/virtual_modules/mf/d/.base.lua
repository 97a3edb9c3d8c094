setenv("D", myModuleVersion())
