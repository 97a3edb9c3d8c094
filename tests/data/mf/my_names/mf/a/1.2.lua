
setenv("FULL", myModuleFullName())
setenv("NAME", myModuleName())
setenv("VERS", tostring(myModuleVersion()))
setenv("USR", myModuleUsrName())
setenv("FILE", myFileName())
setenv("MODE", mode())
setenv("SHELLNAME", myShellName())
setenv("SHELLTYPE", myShellType())
