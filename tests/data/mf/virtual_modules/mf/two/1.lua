setenv("TWO", myModuleVersion())
