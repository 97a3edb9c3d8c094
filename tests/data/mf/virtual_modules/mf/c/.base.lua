setenv("C", myModuleVersion())
