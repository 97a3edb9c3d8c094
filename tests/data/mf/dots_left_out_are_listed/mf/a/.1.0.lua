local user, own = myModuleUsrAndAliasName()
setenv("A", user .. " " .. own)
