setenv("A", myModuleFullName() .. " " .. myModuleVersion() .. " " .. myModuleUsrName())
