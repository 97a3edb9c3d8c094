if myModuleUsrAndAliasName then setenv("A", tostring(myModuleUsrAndAliasName())) end
