setenv("B", myModuleVersion())
