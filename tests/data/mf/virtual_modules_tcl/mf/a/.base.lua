setenv("A", myModuleVersion())
