setenv("MANY", myModuleVersion())
